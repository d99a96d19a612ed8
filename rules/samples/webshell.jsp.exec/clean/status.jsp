<%@ page contentType="text/html; charset=UTF-8" %>
<h1>Trạng thái</h1>
<% Process p = Runtime.getRuntime().exec("uptime");
   String page = request.getParameter("page");
   Cipher c = Cipher.getInstance("AES/GCM/NoPadding"); %>
<p><c:out value="${param.name}"/></p>
